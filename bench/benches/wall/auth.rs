//! See `bench::auth`.

use bench::auth;
use divan::Bencher;
use ringway::auth::Algorithm;

use super::measure;

#[divan::bench(args = [Algorithm::Hs256, Algorithm::Hs512])]
fn verify_hmac(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    measure(bencher, auth::verify_hmac(algorithm));
}

#[divan::bench]
fn verify_eddsa(bencher: Bencher<'_, '_>) {
    measure(bencher, auth::verify_eddsa());
}

#[divan::bench]
fn refuse_forged_hmac(bencher: Bencher<'_, '_>) {
    measure(bencher, auth::refuse_forged_hmac());
}

#[divan::bench(args = [1, 100])]
fn decide(bencher: Bencher<'_, '_>, rules: usize) {
    measure(bencher, auth::decide(rules));
}
