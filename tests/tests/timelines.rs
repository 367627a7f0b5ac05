//! The timelines of the book show the panes that the engine gives now.

#![allow(clippy::unwrap_used, reason = "a test: a panic is its failure")]

#[allow(dead_code, reason = "its main is not for here")]
#[path = "../../computation/examples/timelines.rs"]
mod timelines;

#[test]
fn the_pictures_in_the_book_are_those_that_are_drawn_from_the_panes_of_the_engine() {
    let book = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src");
    for (name, picture) in timelines::pictures().unwrap() {
        let kept = std::fs::read_to_string(book.join(name)).unwrap();
        assert_eq!(kept, picture, "{name}: draw it anew with the example `timelines`");
    }
}
