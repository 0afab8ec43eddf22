//! Requests that are valid, and mutations of some that may not be. The same seed makes the same ones.

/// Generates requests.
pub struct Generator(u64);

const METHODS: [&str; 8] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M",
];
/// `pchar` and `/` (RFC 3986 §3.3), encoded bytes among them.
const IN_PATH: [&str; 16] = [
    "a",
    "Z",
    "0",
    "-",
    ".",
    "~",
    "/",
    "/",
    "%20",
    "%2F",
    "%e9",
    "%C3%A9",
    "%0a",
    "!$&'()*+,;=",
    ":@",
    "_",
];
const IN_QUERY: [&str; 8] = ["a=1", "&", "?", "/", "%26", "%00", "+", "b"];
/// Names that the environ has, and some that differ in case only.
const NAMES: [&str; 9] = [
    "X-A",
    "x-a",
    "X-B1",
    "Accept",
    "User-Agent",
    "Cookie",
    "cookie",
    "Referer",
    "X--y-",
];
const IN_VALUE: [&str; 12] = [
    "a", "B", "1", " ", "\t", ",", ";", "=\"x\"", ":", "\u{e9}", "HTTP/1.1", "\\",
];
/// What decides where a request ends.
const SPLICES: [&str; 24] = [
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "0",
    "1",
    "\0",
    "\r\n\r\n",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length:+5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Connection: close\r\n",
    "Host: b\r\n",
    "X: y\r\n z\r\n",
    "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
];

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// splitmix64: small, and the same on all machines.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Up to so many parts; a character is a byte of Latin-1.
    fn text(&mut self, parts: &[&str], most: usize) -> Vec<u8> {
        let count = self.below(most + 1);
        let text: String = (0..count).map(|_| self.one_of(parts)).collect();
        text.chars().map(|c| u8::try_from(c).unwrap()).collect()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1))
            .map(|_| self.next() as u8)
            .collect()
    }

    /// Some valid requests, one after the other on a connection.
    pub fn requests(&mut self) -> Vec<u8> {
        let count = 1 + self.below(4);
        (0..count).flat_map(|_| self.request()).collect()
    }

    fn request(&mut self) -> Vec<u8> {
        let mut request = self.one_of(&METHODS).as_bytes().to_vec();
        request.extend_from_slice(b" /");
        request.extend(self.text(&IN_PATH, 8));
        if self.below(2) == 0 {
            request.push(b'?');
            request.extend(self.text(&IN_QUERY, 6));
        }
        request.extend_from_slice(b" HTTP/1.1\r\n");
        let host = self.below(4);
        for number in 0..4 + self.below(4) {
            if number == host {
                request.extend_from_slice(b"Host: localhost:8000\r\n");
            }
            let name = self.one_of(&NAMES);
            let value = self.text(&IN_VALUE, 6);
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(self.one_of(&[":", ": ", ":\t "]).as_bytes());
            request.extend(value);
            request.extend_from_slice(self.one_of(&["\r\n", " \r\n"]).as_bytes());
        }
        if self.below(3) == 0 {
            request.extend_from_slice(b"Content-Type: text/x; a=b\r\n");
        }
        match self.below(3) {
            0 => request.extend_from_slice(b"\r\n"),
            1 => {
                let body = self.bytes(300);
                let length = format!("content-length: {}\r\n\r\n", body.len());
                request.extend_from_slice(length.as_bytes());
                request.extend(body);
            }
            _ => {
                request.extend_from_slice(b"Transfer-Encoding: Chunked\r\n\r\n");
                for _ in 0..self.below(4) {
                    let mut chunk = self.bytes(100);
                    chunk.push(b'.');
                    let extension = self.one_of(&["", ";a", ";a=b", ";a=\"b c\""]);
                    let size = format!("{:x}{extension}\r\n", chunk.len());
                    request.extend_from_slice(size.as_bytes());
                    request.extend(chunk);
                    request.extend_from_slice(b"\r\n");
                }
                request.extend_from_slice(
                    self.one_of(&["0\r\n\r\n", "00\r\nX-A: trailer\r\n\r\n"])
                        .as_bytes(),
                );
            }
        }
        request
    }

    /// One or two of these requests, and what is done to them.
    pub fn mutation_of(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        if self.below(3) == 0 {
            bytes.extend_from_slice(&corpus[self.below(corpus.len())]);
        }
        if self.below(4) == 0 {
            bytes = self.requests();
        }
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(20)).min(bytes.len());
            match self.below(6) {
                0 => drop(bytes.drain(at..end)),
                1 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                2 if at < bytes.len() => bytes[at] = self.next() as u8,
                3 => bytes.truncate(at.max(1)),
                _ => {
                    let splice = self.one_of(&SPLICES).bytes();
                    // Between lines it is read as a line more often.
                    let lines = bytes
                        .windows(2)
                        .enumerate()
                        .filter(|(_, end)| *end == b"\r\n");
                    let ends: Vec<usize> = lines.map(|(at, _)| at + 2).collect();
                    let at = match ends.is_empty() || self.below(2) == 0 {
                        true => at,
                        false => self.one_of(&ends),
                    };
                    bytes.splice(at..at, splice);
                }
            }
        }
        if self.below(2) == 0 {
            bytes.extend_from_slice(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        }
        bytes
    }
}
