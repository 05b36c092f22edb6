-- A statement on a local table: the floor of any call made in this session.
\set id random(1, @ROWS@)
SELECT id, name FROM item WHERE id = :id;
