//! Users, groups, who is in which, and what they may do.

use super::{GrantId, GroupId, UserId};
use crate::clock::UnixMillis;
use crate::policy::access::Right;
use crate::secret::Secret;
use crate::store::table::{Index, Record, Table, record};
use crate::store::value::field;

record! {
    /// A person or a service account.
    User in USERS {
        /// Never used twice.
        id: UserId,
        /// As it is shown.
        name: String,
        /// As it is compared: normalised by `auth`, unique.
        name_key: String,
        /// For people to read; not unique.
        email: Option<String>,
        /// Opaque text of `auth`; none for accounts that can't log in with a password.
        password: Option<Secret<String>>,
        /// Passes every access rule.
        superuser: bool,
        /// A machine's account.
        service: bool,
        /// Kept, and let in nowhere.
        disabled: bool,
        /// When.
        created: UnixMillis,
        /// Starts with 1 and grows with every change.
        revision: u64,
    }
}

/// Of [`User`].
pub static USERS: Table = Table {
    name: "users",
    what: "user",
    taken: "a user with this id",
    key: &["id"],
    columns: User::COLUMNS,
    indexes: &[
        Index { name: "users_name", columns: &["name_key"], unique: Some("a user with this name") },
        Index { name: "users_superuser", columns: &["superuser", "disabled", "name_key"], unique: None },
        Index { name: "users_changed", columns: &["changed"], unique: None },
    ],
    tracked: true,
    queue: false,
};

record! {
    /// A set of users.
    Group in GROUPS {
        /// Never used twice.
        id: GroupId,
        /// Normalised, unique.
        name: String,
        /// For people.
        description: String,
        /// When.
        created: UnixMillis,
        /// Starts with 1 and grows with every change.
        revision: u64,
    }
}

/// Of [`Group`].
pub static GROUPS: Table = Table {
    name: "groups",
    what: "group",
    taken: "a group with this id",
    key: &["id"],
    columns: Group::COLUMNS,
    indexes: &[
        Index { name: "groups_name", columns: &["name"], unique: Some("a group with this name") },
        Index { name: "groups_changed", columns: &["changed"], unique: None },
    ],
    tracked: true,
    queue: false,
};

record! {
    /// A user in a group. Stays, with `active` off, when the user leaves: a row of its own per pair makes joining and
    /// leaving atomic, and keeps its place in the order of changes.
    Member in MEMBERS {
        /// Which group; it may be gone.
        group: GroupId,
        /// Which user; may be gone.
        user: UserId,
        /// Whether the user is in the group now.
        active: bool,
        /// When that began.
        since: UnixMillis,
        /// Starts with 1 and grows with every change.
        revision: u64,
    }
}

/// Of [`Member`].
pub static MEMBERS: Table = Table {
    name: "members",
    what: "member",
    taken: "this member",
    key: &["group", "user"],
    columns: Member::COLUMNS,
    indexes: &[
        Index { name: "members_key", columns: &["group", "user"], unique: None },
        Index { name: "members_user", columns: &["user", "group"], unique: None },
        Index { name: "members_changed", columns: &["changed"], unique: None },
    ],
    tracked: true,
    queue: false,
};

/// Who has a right.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// One user.
    User(UserId),
    /// Everybody in a group.
    Group(GroupId),
}

impl Subject {
    fn text(&self) -> String {
        match self {
            Self::User(id) => format!("user:{id}"),
            Self::Group(id) => format!("group:{id}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("user", id) => UserId::new(id).map(Self::User),
            ("group", id) => GroupId::new(id).map(Self::Group),
            _ => None,
        }
    }
}

field!(Subject, Text, |v| v.text(), |v| Self::read(&v));

field!(Right, Text, |v| v.as_str().to_owned(), |v| Self::read(&v));

record! {
    /// A right on channels. Not changed once made: taken away and made anew.
    Grant in GRANTS {
        /// Never used twice.
        id: GrantId,
        /// Who.
        subject: Subject,
        /// A glob of channel names.
        channels: String,
        /// What.
        right: Right,
        /// When.
        created: UnixMillis,
        /// Always 1.
        revision: u64,
    }
}

/// Of [`Grant`].
pub static GRANTS: Table = Table {
    name: "grants",
    what: "grant",
    taken: "a grant with this id",
    key: &["id"],
    columns: Grant::COLUMNS,
    indexes: &[
        Index { name: "grants_same", columns: &["subject", "channels", "right"], unique: Some("this grant") },
        Index { name: "grants_subject", columns: &["subject", "id"], unique: None },
        Index { name: "grants_changed", columns: &["changed"], unique: None },
    ],
    tracked: true,
    queue: false,
};
