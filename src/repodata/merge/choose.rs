//! Which member's records are shown.
//!
//! In this order: a record of an owned name counts only from an owner; of a frozen channel, only what was seen by then; under
//! strict priority, only the first member that still has any record of a package name. What is left may hold one file name twice;
//! then the first member's counts.

use std::collections::HashMap;

use super::records::Records;
use crate::policy::{Priority, VirtualRule};
use crate::repodata::error::BuildError;
use crate::repodata::scan::Group;
use crate::repodata::table::{Entry, PackageTable};

/// The records that take part.
#[derive(Debug)]
pub(super) struct Choice {
    /// For each member that is there, one truth value for each line of its table.
    kept: Vec<Vec<bool>>,
    /// Groups that any of them stands in.
    groups: Vec<Group>,
}

impl Choice {
    /// Decides for every record of every member.
    pub fn make(members: &[Records<'_>], rule: &VirtualRule) -> Result<Self, BuildError> {
        let mut choice = Self { kept: Vec::with_capacity(members.len()), groups: Vec::new() };
        let mut claims: HashMap<String, usize> = HashMap::new();
        let strict = rule.priority == Priority::Strict && members.len() > 1;
        let mut buffer = Vec::new();
        for member in members {
            let mut kept = vec![false; member.table().len()];
            for (keep, entry) in kept.iter_mut().zip(member.table().iter()) {
                if !may_be_shown(member, &entry, rule, &mut buffer)? {
                    continue;
                }
                if strict {
                    let name = member.name(&entry, &mut buffer)?.to_ascii_lowercase();
                    if *claims.entry(name).or_insert(member.place) != member.place {
                        continue;
                    }
                }
                *keep = true;
                if !choice.groups.contains(&entry.group) {
                    choice.groups.push(entry.group);
                }
            }
            choice.kept.push(kept);
        }
        Ok(choice)
    }

    /// Whether any record stands in this group.
    pub fn has(&self, group: Group) -> bool {
        self.groups.contains(&group)
    }

    /// Every file once, in order of file names, with its record and the member (counted among those that are there) it comes from.
    pub fn merged<'a>(&'a self, tables: Vec<&'a PackageTable>) -> Merged<'a> {
        let kept = tables.into_iter().zip(&self.kept);
        let streams = kept.map(|(table, kept)| -> Stream<'a> {
            Box::new(table.iter().zip(kept).filter(|(_, keep)| **keep).map(|(entry, _)| entry))
        });
        Merged { heads: streams.map(|mut stream| (stream.next(), stream)).collect() }
    }
}

fn may_be_shown(
    member: &Records<'_>,
    entry: &Entry<'_>,
    rule: &VirtualRule,
    buffer: &mut Vec<u8>,
) -> Result<bool, BuildError> {
    if !entry.is_shown() {
        return Ok(false);
    }
    if rule.has_owners() {
        let name = member.name(entry, buffer)?;
        if !rule.may_answer_file(member.place, entry.file, Some(&name)) {
            return Ok(false);
        }
    }
    match rule.as_of {
        // What nobody knows the age of is not shown in a view of the past.
        Some(as_of) => Ok(member.first_seen(entry, buffer)?.is_some_and(|seen| seen <= as_of)),
        None => Ok(true),
    }
}

type Stream<'a> = Box<dyn Iterator<Item = Entry<'a>> + 'a>;

/// See [`Choice::merged`]. Tables are sorted, so the heads of at most sixteen of them are enough.
pub(super) struct Merged<'a> {
    heads: Vec<(Option<Entry<'a>>, Stream<'a>)>,
}

impl<'a> Iterator for Merged<'a> {
    type Item = (usize, Entry<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let heads = self.heads.iter().enumerate().filter_map(|(n, (head, _))| Some((n, (*head)?)));
        // The first of equals is the one of the first member.
        let (member, chosen) = heads.min_by_key(|(_, head)| head.file)?;
        for (head, rest) in &mut self.heads {
            if head.is_some_and(|entry| entry.file == chosen.file) {
                *head = rest.next();
            }
        }
        Some((member, chosen))
    }
}
