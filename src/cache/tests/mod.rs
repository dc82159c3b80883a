mod crash;
mod keeping;
mod tamper;
mod vault;
