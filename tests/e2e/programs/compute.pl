# Floats, big integers, regular expressions, packing and sorting in Perl.
use strict;
use warnings;
use List::Util qw(sum max reduce);
use POSIX qw(floor ceil fmod strtod);
use Math::BigInt;
use Math::BigFloat;

my @x = map { $_ * 0.137 - 4 } 0 .. 60;
printf "%.17g %.17g %.17g %.17g %.17g\n", $_, sin($_), cos($_), exp($_), atan2($_, 2) for @x[0, 7, 19, 42, 60];
printf "%.17g %.17g %.17g\n", sum(map { sqrt abs } @x), (reduce { $a * 1.01 + $b ** 3 } @x), max(@x);
printf "%s %s %s %s\n", 1e15 + 0.3, 1 / 3, 1e23, 0.1 + 0.2;
printf "%d %d %s %s\n", floor(-2.5), ceil(-2.5), fmod(10.75, 3), scalar(strtod("0x1.8p3 tail"));
printf "%.10e %a %G %s\n", 6.02214076e23, 0.1, 1e-10, 9007199254740993;
print unpack("H*", pack("d f q> n w", 1.1, -2.7, -5, 65535, 300)), "\n";

my $text = join " ", map { sprintf "key%d=value%d;", $_, $_ * $_ % 101 } 1 .. 3000;
my %seen;
$seen{$2}++ while $text =~ /\b(key\d*?([13579]))=value(?=\d{2};)/g;
print join(",", map { "$_:$seen{$_}" } sort keys %seen), "\n";
(my $swapped = $text) =~ s/(\w+?)(\d+)=(\w+?)(\d+);/$4$3=$2$1/g;
print length($swapped), " ", unpack("%32C*", $swapped), " ", substr($swapped, 100, 60), "\n";
print join("|", "2024-02-29T12:34:56" =~ /^(\d{4})-(?<month>\d\d)-(\d\d)T(?:(\d\d):?)+(\d\d)$/), " $+{month}\n";
print "balanced: $1\n" if "f(a(b)(c(d))e)g)" =~ /(\((?:[^()]++|(?1))*\))/;
print join(" ", sort { $a <=> $b or $a cmp $b } map { $_ * 7919 % 1009 / 8 } 1 .. 40), "\n";

my $n = Math::BigInt->new("123456789012345678901234567890");
print $n ** 12, "\n", ($n ** 20) % "1000000007", " ", Math::BigInt->new(2)->bmodpow("65537", "1000000000000000000000007"), "\n";
print Math::BigInt->new(80)->bfac, " ", Math::BigInt->new("987654321987654321")->bgcd("123456789123456789"), "\n";
print Math::BigFloat->new(2)->bsqrt(60), " ", Math::BigFloat->bpi(50), "\n";

my $hash = 5381;
$hash = ($hash * 33 ^ ord) & 0xFFFFFFFF for split //, $text;
print "$hash ", sprintf("%b %o %x", $hash, $hash, ~$hash & 0xFFFF), "\n";
print join(" ", map { ucfirst lc } reverse split /[^a-z]+/i, "the QUICK-brown fOx"), "\n";
