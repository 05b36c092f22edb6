SELECT count(id), count(label), count(at), count(amount) FROM dblink('@POOLER_TLS@', 'SELECT id, label, at, amount FROM reading') AS t(id int, label text, at timestamptz, amount float8);
