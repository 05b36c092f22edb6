-- For the section "copy": where rows arrive.
CREATE TABLE arrived (LIKE reading);
GRANT ALL ON arrived TO bench_user;
