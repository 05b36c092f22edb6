\set id random(1, @ROWS@)
SELECT * FROM plproxy_item(:id);
