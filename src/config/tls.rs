//! `tls`: certificates for clients.
//!
//! Belongs here: the keys of this section. Does not: reading the files (`proxy::tls`).

use super::read::{join, show_path};
use super::reader::Reader;
use super::settings::{CertificateConfig, Config, TlsConfig};
use super::values::{file, listen, path};
use crate::policy::read::{Fields, Located, choice, list};
use crate::policy::{At, Mistakes, Node};

const CLIENTS: &[(&str, bool)] = &[("required", true), ("optional", false)];

pub(super) fn read(r: &mut Reader<'_>, top: &mut Fields<'_>) -> TlsConfig {
    let mut fields = r.section(top, "tls");
    let show_pairs = |all: &Vec<CertificateConfig>| {
        all.iter().map(|pair| show_path(&pair.certificate)).collect::<Vec<_>>().join(", ")
    };
    let show_required = |required: &bool| if *required { "required" } else { "optional" }.to_owned();
    let tls = TlsConfig {
        listen: r.value(fields.as_mut(), "tls.listen", listen, |all| join(all)),
        certificates: r.value(fields.as_mut(), "tls.certificates", pairs, show_pairs),
        client_ca: r.optional(fields.as_mut(), "tls.client_ca", file, |file| show_path(file)),
        client_required: r.value(fields.as_mut(), "tls.client_certificates", choice(CLIENTS), show_required),
        redirect_browsers: r.flag(fields.as_mut(), "tls.redirect_browsers"),
    };
    r.finish(fields);
    tls
}

/// Values that are right alone and wrong together.
pub(super) fn check_together(config: &Config, mistakes: &mut Mistakes) {
    let (at, tls) = (At::outside("configuration"), &config.tls);
    let idle = [("tls.client_ca", tls.client_ca.is_some()), ("tls.redirect_browsers", tls.redirect_browsers)];
    if tls.certificates.is_empty() {
        for (key, _) in idle.into_iter().filter(|(_, is_said)| *is_said) {
            let said = format!("`{key}` does nothing without `tls.certificates`");
            mistakes.add_hint(&at, said, "write `certificates: [{certificate: FILE, key: FILE}]` beside it");
        }
        return;
    }
    let both = config.listen.iter().find(|address| tls.listen.contains(address) && address.port() != 0);
    if let Some(both) = both {
        let said = format!("`{both}` stands in `listen` and in `tls.listen`; one port speaks one of them");
        mistakes.add(&at, said);
    }
    if tls.client_ca.is_none() && !tls.client_required {
        let said = "`tls.client_certificates` needs `tls.client_ca`: who may have issued them";
        mistakes.add(&at, said);
    }
}

fn pairs(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Vec<CertificateConfig>> {
    let mut n = 0;
    let each = |node: &Node, path: &str, mistakes: &mut Mistakes| {
        n += 1;
        pair(node, &format!("{path}[{}]", n - 1), mistakes)
    };
    let all: Vec<Located<CertificateConfig>> = list(each)(node, path, mistakes)?;
    Some(all.into_iter().map(|one| one.value).collect())
}

/// Whether the files are there is seen when they are read: a certificate may come after the settings.
fn pair(node: &Node, key: &str, mistakes: &mut Mistakes) -> Option<CertificateConfig> {
    let mut fields = Fields::open(node, key, mistakes)?;
    for key in ["certificate", "key"] {
        if fields.get(key).is_none() {
            mistakes.add(&node.at, format!("`{}` is missing", fields.path_of(key)));
        }
    }
    let certificate = fields.read("certificate", mistakes, path);
    let private = fields.read("key", mistakes, path);
    fields.finish(mistakes);
    Some(CertificateConfig { certificate: certificate?.value, key: private?.value })
}
