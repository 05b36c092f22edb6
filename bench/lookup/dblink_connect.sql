-- dblink as its manual first shows it: a connection string in every call.
\set id random(1, @ROWS@)
SELECT * FROM dblink('@REMOTE@', 'SELECT id, name FROM item WHERE id = :id') AS t(id int, name text);
