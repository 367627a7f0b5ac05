//! Rows for people: columns as wide as they must be. And bytes as text.

/// Prints a heading and rows below each other.
pub(crate) fn print(heading: &[&str], rows: &[Vec<String>]) {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain(heading.get(at).map(|cell| cell.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(&mut heading.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// Bytes as text where they are printable, else in hexadecimal.
pub(crate) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => hex(bytes),
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |text, byte| text + &format!("{byte:02x}"))
}

/// A key as it was written: text, or 0x and hexadecimal digits.
pub(crate) fn key(written: &str) -> Result<Vec<u8>, crate::failure::Failure> {
    let Some(digits) = written.strip_prefix("0x") else { return Ok(written.as_bytes().to_vec()) };
    let bad = || {
        crate::failure::Failure::Said(format!(
            "{written:?} is no key: an even number of hexadecimal digits is due behind 0x"
        ))
    };
    if digits.len() % 2 != 0 || !digits.is_ascii() {
        return Err(bad());
    }
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
        u8::from_str_radix(pair, 16).map_err(|_| bad())
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_shown() {
        for bytes in [&b"EWR"[..], &[0, 255, 16]] {
            assert_eq!(key(&text(bytes)).unwrap(), bytes);
        }
        assert!(key("0x1").is_err() && key("0xzz").is_err());
    }
}
