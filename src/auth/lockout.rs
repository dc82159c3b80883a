//! temp
use std::net::IpAddr;
use crate::clock::UnixMillis;
pub struct Lockout;
impl Lockout { pub fn new() -> Self { Self }
 pub fn failed(&self, _k:&str,_a:IpAddr,_n:UnixMillis){}
 pub fn succeeded(&self, _k:&str,_a:IpAddr,_n:UnixMillis){} }
