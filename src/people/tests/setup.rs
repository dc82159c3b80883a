//! Set-up codes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;
use crate::people::PeopleError;
use crate::people::setup::{LIFE, SetupError, offer, redeem};

impl Home {
    fn code_file(&self) -> PathBuf {
        self.dir.path().join("setup-code")
    }

    /// What a person copies out of the file.
    fn code(&self) -> Secret<String> {
        let text = fs::read_to_string(self.code_file()).unwrap();
        Secret::new(text.lines().next().unwrap().to_owned())
    }
}

async fn redeemed(
    home: &Home,
    people: &People,
    code: &Secret<String>,
    name: &str,
) -> Result<User, PeopleError> {
    let password = Secret::new(GOOD.to_owned());
    redeem(people, home.dir.path(), code, name, password, "192.0.2.7").await
}

fn is_not_good<T>(outcome: &Result<T, PeopleError>) -> bool {
    matches!(outcome, Err(PeopleError::Setup(SetupError::NotGood)))
}

#[tokio::test]
async fn a_code_makes_the_first_superuser_once() {
    let home = Home::new();
    let people = home.people();
    let made = offer(&people, home.dir.path()).await.unwrap().unwrap();
    assert_eq!((&made.file, made.until), (&home.code_file(), NOW.plus(LIFE)));
    assert_eq!(fs::metadata(&made.file).unwrap().permissions().mode() & 0o777, 0o600);
    let code = home.code();
    assert_eq!(code.reveal().len(), 33);
    let again = offer(&people, home.dir.path()).await.unwrap().unwrap();
    assert_eq!((again, home.code()), (made, code.clone()), "a restart leaves it good");
    let wrong = redeemed(&home, &people, &Secret::new("x".repeat(33)), "ada").await;
    assert!(is_not_good(&wrong));
    let weak = Secret::new("short".to_owned());
    let refused = redeem(&people, home.dir.path(), &code, "ada", weak, "192.0.2.7").await.unwrap_err();
    assert!(matches!(refused, PeopleError::Password(_)), "{refused}");
    let spaced = Secret::new(format!(" {}\n", code.reveal()));
    let ada = redeemed(&home, &people, &spaced, "ada").await.unwrap();
    assert!(ada.superuser && !home.code_file().exists());
    assert!(is_not_good(&redeemed(&home, &people, &code, "eve").await));
    assert_eq!(offer(&people, home.dir.path()).await.unwrap(), None);
    let [event] = &trail(&people).await[..] else { panic!("one event") };
    assert_eq!((event.kind.as_str(), event.actor.as_str()), ("setup.redeem", "anonymous"));
    assert_eq!(event.target, format!("user:{}", ada.id));
    assert!(!event.detail.contains(code.reveal().as_str()) && !ada.id.as_str().contains(&code.reveal()[..8]));
}

#[tokio::test]
async fn a_code_is_good_for_an_hour_and_while_nobody_else_is_superuser() {
    let home = Home::new();
    let people = home.people();
    offer(&people, home.dir.path()).await.unwrap();
    let code = home.code();
    home.later(LIFE);
    assert!(is_not_good(&redeemed(&home, &people, &code, "ada").await));
    offer(&people, home.dir.path()).await.unwrap();
    let next = home.code();
    assert_ne!(next, code, "an old one is replaced");
    make_superuser(&people, "root").await;
    let late = redeemed(&home, &people, &next, "ada").await;
    assert!(matches!(late, Err(PeopleError::Setup(SetupError::NotNeeded))));
    assert!(!home.code_file().exists());
    fs::write(home.code_file(), "left over").unwrap();
    assert_eq!(offer(&people, home.dir.path()).await.unwrap(), None);
    assert!(!home.code_file().exists());
}

#[tokio::test]
async fn of_two_who_show_a_code_at_once_one_comes_in() {
    for names in [["ada", "eve"], ["ada", "Ada"]] {
        let home = Home::new();
        let people = home.people();
        offer(&people, home.dir.path()).await.unwrap();
        let (code, other) = (home.code(), people.clone());
        let (dir, same) = (home.dir.path().to_owned(), code.clone());
        let [first, second] = names;
        let faster = async move {
            let password = Secret::new(GOOD.to_owned());
            redeem(&other, &dir, &same, first, password, "192.0.2.8").await.unwrap();
        };
        let slower = home.watched(Watched::meanwhile(home.sqlite(), faster));
        assert!(is_not_good(&redeemed(&home, &slower, &code, second).await));
        let all = people.users(None, 9).await.unwrap();
        assert_eq!(all.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["ada"]);
    }
}

#[tokio::test]
async fn a_code_that_was_used_is_used_though_its_file_is_still_there() {
    let home = Home::new();
    let people = home.people();
    offer(&people, home.dir.path()).await.unwrap();
    let (code, text) = (home.code(), fs::read(home.code_file()).unwrap());
    make_superuser(&people, "root").await;
    people.set_superuser(&by(), "root", false).await.unwrap_err();
    home.store().users().delete(&people.user("root").await.unwrap().id).await.unwrap();
    redeemed(&home, &people, &code, "ada").await.unwrap();
    // The gate died before it took the file away, and somebody took the right away by hand.
    fs::write(home.code_file(), text).unwrap();
    let ada = people.user("ada").await.unwrap();
    home.store().users().update(&User { superuser: false, ..ada }).await.unwrap();
    assert!(is_not_good(&redeemed(&home, &people, &code, "eve").await));
    for damaged in ["", "x\n", "short\ngood until 2030-01-01T00:00:00Z\n", "\u{0}"] {
        fs::write(home.code_file(), damaged).unwrap();
        assert!(
            is_not_good(&redeemed(&home, &people, &Secret::new("x".to_owned()), "eve").await),
            "{damaged}"
        );
    }
}
