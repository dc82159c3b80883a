//! Icons, drawn in lines of one width on a square of 24.
//!
//! Belongs here: their paths. Does not: colours and sizes (`style.css`).

use std::fmt;

use askama::filters::HtmlSafe;

/// An icon, as an element.
pub(super) struct Icon(&'static str);

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<svg class=\"icon\" viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\" stroke-linecap=\"round\" \
             stroke-linejoin=\"round\" aria-hidden=\"true\"><path d=\"{}\"/></svg>",
            self.0
        )
    }
}

// Nothing in it comes from outside.
impl HtmlSafe for Icon {}

/// The icon of a name; an empty one for others.
pub(super) fn icon(name: &str) -> Icon {
    Icon(match name {
        "sun" => {
            "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2m0 16v2M4.9 4.9l1.4 1.4m11.4 11.4 1.4 1.4M2 12h2m16 0h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4"
        }
        "moon" => "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5",
        "auto" => "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18v18M12 7h5.5M12 11h8.9M12 15h8.4M12 19h5.2",
        "search" => "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14m5 12 5 5",
        "copy" => "M9 9h11v11H9zM5 15H4V4h11v1",
        "box" => "m12 3 8 4.5v9L12 21l-8-4.5v-9zm0 9 8-4.5M12 12v9m0-9L4 7.5",
        "upload" => "M12 16V4m-5 5 5-5 5 5M4 16v4h16v-4",
        "key" => "M15 4a5 5 0 1 1-4.6 7L4 17.4V20h3v-2h2v-2h2l1.3-1.3A5 5 0 0 1 15 4m1.5 3.5v.01",
        "user" => "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M4 21c.5-4 3.5-6 8-6s7.5 2 8 6",
        "out" => "M10 4H4v16h6m4-4 4-4-4-4m4 4H9",
        "lock" => "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
        "check" => "m5 12.5 4.5 4.5L19 7.5",
        "alert" => {
            "M12 8.5v4.5m0 3.5v.01M10.3 4 2.5 18a2 2 0 0 0 1.7 3h15.6a2 2 0 0 0 1.7-3L13.7 4a2 2 0 0 0-3.4 0"
        }
        "info" => "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18m0 8v5m0-8.5v.01",
        "trash" => "M4 7h16M9 7V4h6v3m3 0-1 13H7L6 7m4 4v5m4-5v5",
        "plus" => "M12 5v14M5 12h14",
        "list" => "M8 6h12M8 12h12M8 18h12M4 6v.01M4 12v.01M4 18v.01",
        "gear" => {
            "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6m0-6v3m0 12v3M3 12h3m12 0h3M5.6 5.6l2.1 2.1m8.6 8.6 2.1 2.1m0-12.8-2.1 2.1m-8.6 8.6-2.1 2.1"
        }
        "download" => "M12 4v12m-5-5 5 5 5-5M4 20h16",
        _ => "",
    })
}
