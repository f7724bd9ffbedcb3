//! The table of defects in `docs/compatibility.md` names a test for each, and the tests are there.

use std::path::Path;

/// All Rust sources below a folder, as one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_defect_of_the_original_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = std::fs::read_to_string(root.join("docs/compatibility.md")).unwrap();
    let table = document.split("## Defects of db-yard").nth(1).expect("the table");
    let mut text = String::new();
    sources(&root.join("crates"), &mut text);
    let mut numbers = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, tests] = cells.as_slice() else { panic!("three cells: {line}") };
        let Ok(number) = number.parse::<u32>() else { continue };
        numbers.push(number);
        let tests: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "defect {number} has no test");
        for test in tests {
            // A command, not a test.
            let Some((_, name)) = test.rsplit_once("::") else { continue };
            assert!(text.contains(&format!("fn {name}(")), "defect {number}: there is no test {test}");
        }
    }
    assert_eq!(numbers, (1..=45).collect::<Vec<_>>());
}
