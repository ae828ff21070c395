//! For people who were not there: one page that needs nothing else, with the ladders of what fails.

use super::drawn::{Drawn, Shown};
use super::{Counts, Run, severity};
use crate::conformance::{Failure, Outcome};
use crate::ladder::svg::escaped;
use std::fmt::Write;

/// The page. It is well-formed XML as well.
pub fn html(run: &Run) -> String {
    let title = escaped(&format!("imsreg check {} {}", run.accused.as_str(), run.target));
    let mut out = format!(
        "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head><meta charset=\"utf-8\"/>\
         <title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
    );
    let verdict = run.failure().unwrap_or_else(|| "nothing fails with severity error".to_owned());
    let _ = writeln!(out, "<p>{}</p>", escaped(&verdict));
    let _ = writeln!(out, "<p>{}</p>", setting(run));
    if run.at_end.failure().is_some() {
        out.push_str("<p class=\"failed\">No sound registration is served any more: what cases near the end came to says nothing of the accused.</p>\n");
    }
    table(&mut out, "All", std::iter::once(("all".to_owned(), run.counts())));
    table(&mut out, "By group", run.by_group().into_iter().map(|(group, counts)| (escaped(group), counts)));
    let rules = run.by_rule().into_iter().map(|(rule, counts)| {
        let (id, text) = (rule.id, escaped(rule.text));
        (format!("<abbr title=\"{text}\">{id}</abbr>"), counts)
    });
    table(&mut out, "By rule", rules);
    if run.failed().next().is_some() {
        out.push_str("<h2>What fails</h2>\n");
        run.failed().for_each(|outcome| failed(&mut out, outcome));
    }
    out.push_str(
        "<h2>Every case</h2>\n<table><tr><th>case</th><th>verdict</th><th>what was done</th><th>clause</th></tr>\n",
    );
    run.outcomes.iter().for_each(|outcome| line(&mut out, outcome));
    out.push_str("</table>\n</body>\n</html>\n");
    out
}

fn setting(run: &Run) -> String {
    let setting = &run.setting;
    let said = [
        (true, if setting.esp { "SAs are ESP" } else { "SAs are clear text between their ports" }),
        (!setting.udp, "no UDP"),
        (!setting.tcp, "no TCP"),
        (setting.fast, "cases that wait for a timer of the peer were left out"),
    ];
    said.iter().filter(|(is_so, _)| *is_so).map(|(_, text)| *text).collect::<Vec<_>>().join("; ")
}

/// Names are written as they are.
fn table(out: &mut String, title: &str, rows: impl Iterator<Item = (String, Counts)>) {
    let _ = write!(out, "<h2>{title}</h2>\n<table><tr><th></th>");
    for (name, _) in Counts::default().named() {
        let _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("</tr>\n");
    for (name, counts) in rows {
        let _ = write!(out, "<tr><td>{name}</td>");
        for (class, count) in counts.named() {
            let class = if count == 0 { "none" } else { class };
            let _ = write!(out, "<td class=\"{class}\">{count}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn line(out: &mut String, outcome: &Outcome) {
    let Outcome { id, about, clause, verdict, .. } = outcome;
    let (class, id) = (verdict.as_str(), escaped(id));
    let id = match verdict.failures() {
        [] => id,
        _ => format!("<a href=\"#{id}\">{id}</a>"),
    };
    let why = verdict.why().map(|why| format!(": {}", escaped(why))).unwrap_or_default();
    let (about, clause) = (escaped(about), escaped(clause));
    let _ =
        writeln!(out, "<tr><td>{id}</td><td class=\"{class}\">{class}{why}</td><td>{about}</td><td>{clause}</td></tr>");
}

fn failed(out: &mut String, outcome: &Outcome) {
    let Outcome { id, about, verdict, .. } = outcome;
    let (id, severity) = (escaped(id), severity(outcome));
    let _ = writeln!(out, "<h3 id=\"{id}\">{id} ({severity})</h3>\n<p>What was done: {}</p>", escaped(about));
    let drawn = Drawn::of(outcome);
    for Failure { rule, severity, clause, expected, found, messages } in verdict.failures() {
        let rule = rule.map(|rule| format!("{rule}, ")).unwrap_or_default();
        let (clause, expected, found) = (escaped(clause), escaped(expected), escaped(found));
        let _ = writeln!(
            out,
            "<dl><dt>{rule}{clause} ({severity})</dt><dd>expected: {expected}</dd><dd>found: {found}</dd></dl>"
        );
        drawn.iter().flat_map(|drawn| drawn.around(messages)).for_each(|shown| message(out, &shown));
    }
    let Some(drawn) = drawn else { return };
    if let Some(picture) = drawn.picture() {
        let _ = writeln!(out, "<div class=\"ladder\">{picture}</div>");
    }
    out.push_str("<details><summary>every message</summary>\n");
    drawn.all().iter().for_each(|shown| message(out, shown));
    out.push_str("</details>\n");
}

fn message(out: &mut String, shown: &Shown) {
    let Shown { number, way, summary, lines, .. } = shown;
    let head = escaped(&format!("{}: message {number}, {way}: {summary}", shown.side()));
    let text = escaped(&lines.join("\n"));
    let _ = writeln!(out, "<details><summary>{head}</summary><pre>{text}</pre></details>");
}

const STYLE: &str = "body{font-family:sans-serif;margin:2em;max-width:1280px}
table{border-collapse:collapse}
td,th{border:1px solid silver;padding:2px 8px;text-align:left;vertical-align:top}
pre{background:whitesmoke;padding:8px;overflow-x:auto}
.ladder{overflow-x:auto;border:1px solid silver}
.passed{color:green}
.failed{color:crimson;font-weight:bold}
.not-observable,.not-applicable,.not-judged{color:dimgray}
.none{color:silver}
";
