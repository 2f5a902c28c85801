"""How the schema of the registry's database came to be, one numbered script a step, in versions/."""
