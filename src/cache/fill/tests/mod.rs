mod basics;
mod faults;
mod followers;
mod resume;
