-- Joins, aggregates, JSON, dates and floating point in SQLite.
create table n(i integer primary key, x real, t text);
with recursive c(i) as (select 1 union all select i + 1 from c where i < 4000)
insert into n select i, i * 0.37 - 1e3 / i, printf('%05d-%s', i * 7919 % 10007, hex(i * i)) from c;
create index by_text on n(t);
select count(*), sum(x), avg(x), min(x), max(x), total(x * x) from n;
select substr(t, 1, 2) k, count(*), printf('%.12g', sum(x)) from n group by k order by k limit 7;
select a.i, b.i, a.t from n a join n b on a.t < b.t and a.i = b.i * 3 + 1 order by a.t limit 5;
select json_object('sum', sum(x), 'list', json_group_array(i)) from n where i % 577 = 0;
select json_extract('{"a":[1,2.5e3,{"b":"\u00e9t\u00e9"}]}', '$.a[2].b'), json_array_length('[1,[2,3],4]');
select key, value, type from json_each('{"one":1,"pi":3.14159,"none":null,"list":[1,2]}');
select round(x, 3), cast(x as integer), printf('%.20e', x), quote(x) from n where i in (1, 2, 3, 1000, 3999);
select julianday('2024-02-29 12:34:56.789'), strftime('%j %W %s', '1969-07-20 20:17:40');
select i, x, sum(x) over (order by i rows 3 preceding), rank() over (order by t) from n where i % 800 = 1;
select printf('%.17g %.17g %.17g', pow(2, 0.5), exp(1.5), ln(10)), sin(1), cos(1), atan2(1, 2), mod(7.25, 2);
select count(*) from n where t glob '0[0-4]*' and t like '%A%';
