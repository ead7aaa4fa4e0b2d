"""SQLAlchemy without a migration tool: makes what is missing, or takes away what it has made."""

import os
import sys

import sqlalchemy as sa

known = sa.MetaData()
sa.Table("orders", known, sa.Column("id", sa.Integer, primary_key=True))
made = sa.MetaData()
known.tables["orders"].to_metadata(made)
sa.Table(
    "tags",
    made,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("order_id", sa.ForeignKey("orders.id"), nullable=False, index=True),
    sa.Column("word", sa.Text, unique=True),
    sa.Column("mood", sa.Enum("new", "worn", name="worn")),
    sa.CheckConstraint("word <> ''", name="tags_word_check"),
)
engine = sa.create_engine(os.environ["DATABASE_URL"])
if sys.argv[1] == "up":
    # What is there already is not looked at again: its column and its index are added by hand.
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE orders ADD COLUMN priority integer NOT NULL DEFAULT 0"))
    made.create_all(engine)
    orders = sa.Table("orders", sa.MetaData(), autoload_with=engine)
    sa.Index("orders_customer", orders.c.customer).create(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE VIEW numbers AS SELECT 1 AS number"))
else:
    with engine.begin() as connection:
        connection.execute(sa.text("DROP VIEW numbers"))
        connection.execute(sa.text("DROP INDEX orders_customer"))
        connection.execute(sa.text("ALTER TABLE orders DROP COLUMN priority"))
    made.tables["tags"].drop(engine)
    made.tables["tags"].c.mood.type.drop(engine)
