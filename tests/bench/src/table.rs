//! Prints a table in Markdown with columns that are aligned for a terminal.

/// Prints a table. Each line must have one cell per heading.
pub fn print(headings: &[&str], lines: &[Vec<String>]) {
    let cells = |column: usize| lines.iter().filter_map(move |line| line.get(column));
    let width = |column: usize| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(column, heading)| heading.chars().count().max(width(column)))
        .collect();
    let print = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .enumerate()
            .map(
                |(n, (cell, width))| {
                    if n == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        println!("| {} |", padded.join(" | "));
    };
    print(&mut headings.iter().copied());
    let rules: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(n, width)| if n == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) })
        .collect();
    print(&mut rules.iter().map(String::as_str));
    for line in lines {
        print(&mut line.iter().map(String::as_str));
    }
}
