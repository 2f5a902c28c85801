"""The steps, Alembic's revisions: each is given Alembic's operations, and none goes back.

A step never changes once it is released. It writes its tables out, since those of registry/database.py are today's.
A new step raises `SCHEMA_VERSION` there, and a test compares what all steps make with its tables.
"""
