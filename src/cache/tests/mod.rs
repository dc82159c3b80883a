mod crash;
mod keeping;
mod tamper;
