// report ROUNDS <text: words, lines and a chained SHA-256 of a text, as one line of JSON. README.md says it exactly.
use std::collections::HashMap;
use std::io::{Read, Write};

const TOP: usize = 5;

// FIPS 180-4.
const ROUND: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
];

fn compress(state: &mut [u32; 8], block: &[u8]) {
    let mut w = [0u32; 64];
    for (word, bytes) in w.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    for i in 16..64 {
        let (a, b) = (w[i - 15], w[i - 2]);
        w[i] = w[i - 16]
            .wrapping_add(a.rotate_right(7) ^ a.rotate_right(18) ^ a >> 3)
            .wrapping_add(w[i - 7])
            .wrapping_add(b.rotate_right(17) ^ b.rotate_right(19) ^ b >> 10);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for i in 0..64 {
        let one = h
            .wrapping_add(e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25))
            .wrapping_add((e & f) ^ (!e & g))
            .wrapping_add(ROUND[i])
            .wrapping_add(w[i]);
        let two = (a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22)).wrapping_add((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d.wrapping_add(one);
        d = c;
        c = b;
        b = a;
        a = one.wrapping_add(two);
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(more);
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    let mut state = [
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    ];
    let whole = bytes.len() / 64 * 64;
    for block in bytes[..whole].chunks_exact(64) {
        compress(&mut state, block);
    }
    let mut last = bytes[whole..].to_vec();
    last.push(0x80);
    while last.len() % 64 != 56 {
        last.push(0);
    }
    last.extend((bytes.len() as u64 * 8).to_be_bytes());
    for block in last.chunks_exact(64) {
        compress(&mut state, block);
    }
    state.iter().map(|word| format!("{:08x}", word)).collect()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rounds = match args.get(1).map(|given| given.parse::<i32>()) {
        Some(Ok(rounds)) if args.len() == 2 && rounds >= 1 => rounds,
        _ => {
            eprintln!("usage: report ROUNDS <text");
            std::process::exit(2);
        }
    };
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).expect("standard input");
    eprintln!("report: {} bytes", text.len());

    let mut digest = sha256_hex(&text);
    for _ in 1..rounds {
        let mut chained = digest.into_bytes();
        chained.extend(&text);
        digest = sha256_hex(&chained);
    }

    let lines = text.iter().filter(|&&c| c == b'\n').count();
    let mut words: HashMap<Vec<u8>, u64> = HashMap::new();
    let (mut total, mut letters) = (0u64, 0usize);
    for word in text.split(|c| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
        total += 1;
        letters += word.len();
        *words.entry(word.to_ascii_lowercase()).or_insert(0) += 1;
    }
    let distinct = words.len();
    let mut top: Vec<_> = words.into_iter().collect();
    top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mean = if total == 0 { 0.0 } else { letters as f64 / total as f64 };
    let top: Vec<String> = top
        .iter()
        .take(TOP)
        .map(|(word, count)| format!("{{\"word\":\"{}\",\"count\":{}}}", String::from_utf8_lossy(word), count))
        .collect();
    let report = format!(
        "{{\"bytes\":{},\"lines\":{},\"words\":{},\"distinct\":{},\"mean_length\":{:.3},\"sha256\":\"{}\",\"top\":[{}]}}\n",
        text.len(), lines, total, distinct, mean, digest, top.join(",")
    );
    std::io::stdout().write_all(report.as_bytes()).expect("standard output");
}
