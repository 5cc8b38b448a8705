//! Inputs made of others by chance, all of it from one generator.

use fastrand::Rng;

const LONGEST: usize = 64 * 1024;

/// Bytes that mean something to a parser somewhere.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\r",
    b"\n",
    b"\t",
    b" ",
    b"\x1b",
    b"\x7f",
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "\u{a0}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{202e}".as_bytes(),
    "٣".as_bytes(),
    "é".as_bytes(),
    "🗓".as_bytes(),
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"'",
    b",",
    b":",
    b";",
    b".",
    b"/",
    b"..",
    b"%",
    b"%00",
    b"%0d%0a",
    b"&",
    b"?",
    b"#",
    b"=",
    b"*",
    b"(",
    b")",
    b"{}",
    b"[]",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"true",
    b"false",
    b"NaN",
    b"eq.",
    b"in.(",
    b"not.is.null",
    b"Bearer ",
    b"default",
    b"infinity",
    b"-infinity",
    b" BC",
    b"Z",
    b"+00",
    b"+00:00",
    b"-23:59",
    b"00000000-0000-0000-0000-000000000000",
];

/// Numbers at which something overflows, wraps or ends.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "00",
    "23",
    "24",
    "29",
    "30",
    "31",
    "59",
    "60",
    "61",
    "99",
    "100",
    "127",
    "255",
    "256",
    "404",
    "429",
    "500",
    "504",
    "546",
    "999",
    "1000",
    "1023",
    "1024",
    "1025",
    "1900",
    "2000",
    "2024",
    "2100",
    "9999",
    "10000",
    "65535",
    "4294967295",
    "4294967296",
    "253402300799999",
    "253402300800000",
    "8210266876799999",
    "8210266876800000",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999999",
    "1e400",
    "1.5",
    "-1e-7",
];

/// Changes one of `corpus` in a few places.
pub fn mutate(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = rng.choice(corpus).cloned().unwrap_or_default();
    for _ in 0..rng.u8(1..=6) {
        let other = rng.choice(corpus).cloned().unwrap_or_default();
        input = step(rng, input, &other);
        input.truncate(LONGEST);
    }
    input
}

fn step(rng: &mut Rng, mut input: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let (from, to) = range(rng, input.len());
    match rng.u8(0..13) {
        0 => {
            if let Some(byte) = input.get_mut(from) {
                *byte ^= 1 << rng.u8(0..8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(from) {
                *byte = rng.u8(..);
            }
        }
        2 => input.truncate(from),
        3 => drop(input.drain(from..to)),
        4 => {
            let copy: Vec<u8> = input.get(from..to).unwrap_or_default().repeat(rng.usize(1..=3));
            input.splice(to..to, copy);
        }
        5 => {
            let (start, end) = range(rng, other.len());
            input.splice(from..to, other.get(start..end).unwrap_or_default().to_vec());
        }
        6 | 7 => drop(input.splice(from..from, word(rng))),
        8 => drop(input.splice(from..to, word(rng))),
        9 | 10 => {
            // A number, wherever one is.
            let numbers = runs(&input, u8::is_ascii_digit);
            if let (Some((from, to)), Some(number)) = (rng.choice(numbers), rng.choice(NUMBERS)) {
                input.splice(from..to, number.bytes());
            }
        }
        11 => {
            // A value, whole: what stands between quotes.
            let quotes: Vec<usize> =
                input.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(at, _)| at).collect();
            if let Some([from, to]) = rng.choice(quotes.windows(2)) {
                let word = word(rng);
                input.splice(from + 1..*to, word);
            }
        }
        _ => {
            let (open, close): (&[u8], &[u8]) = if rng.bool() { (b"[", b"]") } else { (b"{\"a\":", b"}") };
            let depth = *rng.choice(&[1, 2, 100, 127, 128, 129, 5000]).unwrap_or(&1);
            if rng.bool() {
                input.splice(to..to, close.repeat(depth));
            }
            input.splice(from..from, open.repeat(depth));
        }
    }
    input
}

/// A part, mostly a short one.
fn range(rng: &mut Rng, length: usize) -> (usize, usize) {
    let from = rng.usize(0..=length);
    let longest = if rng.bool() { 8 } else { length };
    (from, length.min(from + rng.usize(0..=longest)))
}

fn word(rng: &mut Rng) -> Vec<u8> {
    let word = rng.choice(WORDS).copied().unwrap_or_default();
    let times = if rng.u8(0..8) == 0 { rng.usize(1..=300) } else { 1 };
    word.repeat(times)
}

/// Where bytes of a kind follow each other.
fn runs(input: &[u8], is: impl Fn(&u8) -> bool) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in input.iter().enumerate().filter(|(_, byte)| is(byte)) {
        match runs.last_mut() {
            Some((_, to)) if *to == at => *to = at + 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs
}
