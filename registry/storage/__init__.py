"""Where the files of packages and reports lie: on this machine, and in a store that several machines share."""
