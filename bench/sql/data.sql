-- The tables, on both servers alike: the local ones are the baseline.
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO item SELECT i, 'item number ' || i FROM generate_series(1, :item_rows) i;

CREATE TABLE reading (id int, label text, at timestamptz, amount float8);
INSERT INTO reading
SELECT i, 'reading ' || i, timestamptz '2024-01-01 00:00:00+00' + i * interval '1.7 s', i * 0.37
FROM generate_series(1, :bulk_rows) i;

VACUUM (FREEZE, ANALYZE) item, reading;
