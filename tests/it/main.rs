//! The integration tests: the whole gate on port 0 in front of a scripted upstream, through the front door only.
//!
//! One file per topic. `harness` has the servers and the client; `tidy` checks the house itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking; the lints exempt only functions marked #[test]"
)]
#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::format_collect,
    reason = "channels have exact names, and tests need not be fast"
)]

mod api_document;
mod api_if_match;
mod api_labels;
mod api_pages;
mod api_rules;
mod api_sight;
mod api_uploads;
mod api_v1;
mod attached;
mod audience;
mod backup;
mod cli;
mod clients_python;
mod clients_python_publish;
mod clients_rust;
mod cold_index;
mod conditional_range;
mod crash;
mod crash_uploads;
mod credentials;
mod damaged_index;
mod data_dir;
mod deploy;
mod deploy_front;
mod deploy_packages;
mod doctor;
mod egress;
mod explain;
mod eyes;
mod faults;
mod fills;
mod front_door;
mod gating;
mod gating_agree;
mod gating_issuers;
mod gating_people;
mod gating_store_down;
mod graceful;
mod harness;
mod harness_works;
mod hits;
mod hosted;
mod hosted_changes;
mod hosted_cli;
mod hosted_cost;
mod hosted_documents;
mod hosted_names;
mod hosted_patches;
mod hosted_unplaced;
mod hosted_upload_rules;
mod hosted_virtual;
mod hosts_and_proxy;
mod index;
mod jobs;
mod licenses;
mod limits;
mod long_lists;
mod names;
mod noarch;
mod notices;
mod notify;
mod odd_upstreams;
mod own_disk;
mod password_reset;
mod people_cli;
mod people_cli_refusals;
mod plain_files;
mod policy_agree;
mod policy_detours;
mod policy_downloads;
mod policy_real;
mod policy_table;
mod policy_ways;
mod request_ids;
mod restart;
mod rules_reload;
mod secrets;
mod service_manager;
mod settings_cli;
mod shards;
mod shards_only;
mod shards_swaps;
mod shares;
mod sightings;
mod slow;
mod store_cli;
mod tidy;
mod tls;
mod top;
mod traces;
mod traffic;
mod upgrade;
mod upload_anaconda;
mod upload_cloudsmith;
mod upload_forms;
mod upload_raw;
mod virtual_channels;
mod web_admin;
mod web_browser;
mod web_channels;
mod web_links;
mod web_sign_in;
mod web_tokens;
