-- Through a PgBouncer whose connections to the remote server are encrypted.
\set id random(1, @ROWS@)
SELECT * FROM dblink('@POOLER_TLS@', 'SELECT id, name FROM item WHERE id = :id') AS t(id int, name text);
