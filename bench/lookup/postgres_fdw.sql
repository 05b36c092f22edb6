\set id random(1, @ROWS@)
SELECT id, name FROM remote_item WHERE id = :id;
