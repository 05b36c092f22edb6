SELECT count(id), count(label), count(at), count(amount) FROM plproxy_reading();
