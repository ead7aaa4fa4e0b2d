CREATE INDEX orders_customer ON orders (customer);
ALTER TABLE orders ADD CONSTRAINT orders_note_key UNIQUE (note);
ALTER TABLE orders ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer) REFERENCES customers (id);
ALTER TABLE orders ADD CONSTRAINT orders_priority_check CHECK (priority >= 0);
ALTER TABLE orders ALTER COLUMN customer SET NOT NULL;
