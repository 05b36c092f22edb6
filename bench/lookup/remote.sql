-- Sent by pgbench straight to the remote server: what the statement costs with
-- no local server in between.
\set id random(1, @ROWS@)
SELECT id, name FROM item WHERE id = :id;
