//! The README's tour, run as it stands: every command between the tour's marks, in one shell session, against a fresh
//! `secrethub dev`, its output compared with the output block that follows it. The tours of the engines are in `tour_engines`.
//!
//! In an output block `…` stands for any text within a line, and a line of nothing but `…` for any lines.

use crate::support::server::program;
use crate::support::{Server, Store};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Clone)]
pub struct Step {
    line: usize,
    commands: String,
    expected: Option<String>,
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The steps between `<!-- MARK -->` and `<!-- /tour -->` (there may be several such parts).
pub fn steps(readme: &str, mark: &str) -> Vec<Step> {
    let begin = format!("<!-- {mark} -->");
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut block): (bool, Option<(String, String, usize)>) = (false, None);
    for (index, line) in readme.lines().enumerate() {
        match &mut block {
            Some(_) if line.trim_end() == "```" => {
                let (kind, body, from) = block.take().unwrap();
                match kind.as_str() {
                    "sh" => steps.push(Step { line: from, commands: body, expected: None }),
                    "output" => {
                        let step = steps.last_mut().expect("an output block follows a sh block");
                        assert!(step.expected.is_none(), "line {from}: a second output block of one step");
                        step.expected = Some(body);
                    }
                    _ => {}
                }
            }
            Some((_, body, _)) => writeln!(body, "{line}").unwrap(),
            None if line.trim() == begin => inside = true,
            None if line.trim() == "<!-- /tour -->" => inside = false,
            None if inside && line.starts_with("```") => {
                block = Some((line[3..].trim().to_owned(), String::new(), index + 2));
            }
            None => {}
        }
    }
    assert!(block.is_none() && !inside, "the tour has an end");
    steps
}

/// Whether a line fits its pattern, `…` standing for any text.
fn line_fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn lines_fit(pattern: &[&str], lines: &[&str]) -> bool {
    match pattern.split_first() {
        None => lines.is_empty(),
        Some((&"…", rest)) => (0..=lines.len()).any(|skipped| lines_fit(rest, &lines[skipped..])),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, more)| line_fits(first, line) && lines_fit(rest, more))
        }
    }
}

fn output_fits(expected: &str, output: &str) -> bool {
    let pattern: Vec<&str> = expected.trim_end().lines().map(str::trim_end).collect();
    let lines: Vec<&str> = output.trim_end().lines().map(str::trim_end).collect();
    lines_fit(&pattern, &lines)
}

/// A folder to run in that looks like the repository: what the tour writes goes to the folder and not into the work tree.
fn stand_in(folder: &Path) -> PathBuf {
    let place = folder.join("secrethub");
    std::fs::create_dir(&place).unwrap();
    for entry in std::fs::read_dir(repository()).unwrap() {
        let entry = entry.unwrap();
        std::os::unix::fs::symlink(entry.path(), place.join(entry.file_name())).unwrap();
    }
    place
}

/// Runs the steps in one bash with these variables set (`PATH`: what comes before it, with a colon at its end); what each printed and its exit status.
fn run(server: &Server, steps: &[Step], variables: &[(&str, String)]) -> Vec<(String, i32)> {
    let place = stand_in(server.folder.path());
    let work = server.folder.path().join("steps");
    std::fs::create_dir(&work).unwrap();
    let mut script = String::new();
    for (index, step) in steps.iter().enumerate() {
        let file = work.join(format!("{index}.sh"));
        std::fs::write(&file, &step.commands).unwrap();
        let (file, at) = (file.display(), work.join(index.to_string()));
        let at = at.display();
        writeln!(script, "source {file} >{at}.out 2>&1 </dev/null; echo $? >{at}.status").unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    let more = variables.iter().find(|(name, _)| *name == "PATH").map_or("", |(_, more)| more);
    let status = Command::new("bash")
        .args(["--norc", "--noprofile", "-o", "pipefail", "-c", &script])
        .current_dir(place)
        .env("PATH", format!("{}:{more}{path}", program().parent().unwrap().display()))
        .env("SECRETHUB_ADDR", server.address())
        .env("SECRETHUB_TOKEN", &server.root)
        .envs(variables.iter().filter(|(name, _)| *name != "PATH").map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "the shell of the tour ended with {status}");
    let read = |name: String| std::fs::read_to_string(work.join(name)).unwrap_or_default();
    (0..steps.len())
        .map(|index| {
            let status = read(format!("{index}.status"));
            (read(format!("{index}.out")), status.trim().parse().unwrap_or(-1))
        })
        .collect()
}

/// Takes the steps of a file against a server, and compares what they print.
pub fn walk(server: &Server, file: &Path, steps: &[Step], variables: &[(&str, String)]) {
    for (step, (output, status)) in steps.iter().zip(run(server, steps, variables)) {
        let place = format!("{}:{}", file.display(), step.line);
        assert_eq!(status, 0, "{place}: exit status\n{}--- printed:\n{output}", step.commands);
        if let Some(expected) = &step.expected {
            let fits = output_fits(expected, &output);
            assert!(fits, "{place}\n{}--- expected:\n{expected}--- printed:\n{output}", step.commands);
        }
    }
}

async fn take(store: Store, readme: &Path) -> usize {
    let text = std::fs::read_to_string(readme).unwrap_or_else(|e| panic!("{}: {e}", readme.display()));
    let steps = steps(&text, "tour");
    walk(&Server::dev(store).await, readme, &steps, &[]);
    steps.len()
}

both_stores!(readme, fixture);

async fn readme(store: Store) {
    let taken = take(store, &repository().join("README.md")).await;
    assert!(taken > 0, "README.md has no tour");
}

/// The runner itself, on a tour that needs little of the server.
async fn fixture(store: Store) {
    assert_eq!(take(store, &repository().join("tests/fixtures/tour.md")).await, 4);
}

#[test]
fn patterns() {
    assert!(
        line_fits("a…c", "abc") && line_fits("…", "") && line_fits("x", "x") && line_fits("a…b…", "a12b3")
    );
    assert!(!line_fits("a…c", "abcd") && !line_fits("x", "xy") && !line_fits("a…b…c", "acb"));
    assert!(!line_fits("ab…ba", "aba"));
    assert!(
        output_fits("a\n…\nd\n", "a\nb\nc\nd\n")
            && output_fits("a\n…\n", "a\n")
            && !output_fits("a\n", "a\nb\n")
    );
}
