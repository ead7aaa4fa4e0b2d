mod catalogue;
mod pages;
mod rules;
