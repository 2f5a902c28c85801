"""Reports beside versions. Databases of the first schema may have their table: it was added under the same number."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0002"
down_revision = "0001"


def upgrade(op: Operations) -> None:
    """Make the table of reports where it is missing."""
    op.create_table(
        "reports",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("place", sa.String(127), nullable=False, unique=True),
        sa.Column("card", sa.String(128), nullable=False),
        sa.Column("uses", sa.JSON, nullable=False),
        sa.Column("hashes", sa.JSON, nullable=False),
        sa.Column("attached", sa.String(32), nullable=False),
        sa.Column("attached_by", sa.String, nullable=False),
        sa.Column("note", sa.String, nullable=False),
        sa.ForeignKeyConstraint(["name", "version"], ["versions.name", "versions.version"]),
        sa.UniqueConstraint("name", "version", "content_hash"),
        if_not_exists=True,
    )
