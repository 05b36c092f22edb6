COPY (SELECT id, label, at, amount FROM reading) TO '/dev/null' (FORMAT binary);
