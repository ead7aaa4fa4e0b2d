UPDATE orders SET note = upper(note);
ALTER TABLE orders ADD COLUMN priority integer NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid();
CREATE TABLE tags (id integer PRIMARY KEY, order_id integer NOT NULL REFERENCES orders (id), word text);
CREATE INDEX tags_order ON tags (order_id);
INSERT INTO tags VALUES (1, 1, 'new');
