//! The small model of looks: the rules lose nothing, and each of them is needed.

use simulation::model::{Rules, Wrong, explore};

#[test]
fn the_rules_of_looks_lose_no_change_and_come_to_rest() {
    let explored = explore(Rules::ALL);
    assert_eq!(explored.wrong, None, "{:#?}", explored.trace);
    assert!(explored.states > 100_000, "{} states", explored.states);
}

#[test]
fn without_any_one_of_them_a_change_is_lost_or_runs_go_on_for_ever() {
    for (name, rules, wrong) in [
        ("doubt", Rules { doubt: false, ..Rules::ALL }, Wrong::ChangeLost),
        ("settled is doubted", Rules { settled_is_doubted: false, ..Rules::ALL }, Wrong::ChangeLost),
        ("look before run", Rules { look_before_run: false, ..Rules::ALL }, Wrong::ChangeLost),
        ("forgets", Rules { forgets: false, ..Rules::ALL }, Wrong::ChangeLost),
        ("first attempt only", Rules { first_attempt_only: false, ..Rules::ALL }, Wrong::HalfSettled),
        ("button is marked", Rules { button_is_marked: false, ..Rules::ALL }, Wrong::ButtonSettled),
        ("by content", Rules { by_content: false, ..Rules::ALL }, Wrong::NoRest),
    ] {
        let explored = explore(rules);
        assert_eq!(explored.wrong, Some(wrong), "without: {name}: {:#?}", explored.trace);
    }
}
