ALTER TABLE orders ALTER COLUMN customer DROP NOT NULL;
ALTER TABLE orders DROP CONSTRAINT orders_priority_check;
ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey;
ALTER TABLE orders DROP CONSTRAINT orders_note_key;
DROP INDEX orders_customer;
