"""Versions that were collected, whose numbers stay taken."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003"
down_revision = "0002"


def upgrade(op: Operations) -> None:
    """Make the table of removals."""
    op.create_table(
        "removals",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("removed", sa.String(32), nullable=False),
        sa.Column("removed_by", sa.String, nullable=False),
        sa.Column("why", sa.String, nullable=False),
    )
