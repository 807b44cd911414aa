//! Rows for people, in columns.

/// The rows with their columns aligned, two spaces between them. A row may have fewer columns than the widest one.
pub fn aligned<R: AsRef<[String]>>(rows: &[R]) -> String {
    let rows = rows.iter().map(AsRef::as_ref);
    let columns = rows.clone().map(<[String]>::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.clone().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.clone().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows: [&[&str]; 3] = [&["a", "bb"], &["\u{20ac}cc", "d", "two words"], &["e"]];
        let rows = rows.map(|row| row.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
        assert_eq!(aligned(&rows), "a    bb\n\u{20ac}cc  d   two words\ne\n");
    }
}
