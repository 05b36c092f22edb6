-- The same through PgBouncer: every call connects, but only as far as the pooler.
\set id random(1, @ROWS@)
SELECT * FROM dblink('@POOLER@', 'SELECT id, name FROM item WHERE id = :id') AS t(id int, name text);
