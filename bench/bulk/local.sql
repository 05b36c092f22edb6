SELECT count(id), count(label), count(at), count(amount) FROM (SELECT id, label, at, amount FROM reading OFFSET 0) t;
