"""The registry: packages under names, versions and aliases, with promotion, rollback and an audit history."""
