use larder_base::ErrorKind;

use super::{MultipartPlan, PART_MAX_BYTES, PART_MIN_BYTES, PARTS_MAX};

#[test]
fn parts_are_equal_but_the_last_and_cover_the_object() {
    let plan = MultipartPlan::new(12 << 20, PART_MIN_BYTES).unwrap();
    let parts: Vec<_> = (1..=plan.parts()).map(|number| plan.part(number).unwrap()).collect();
    assert_eq!(parts, [(0, 5 << 20), (5 << 20, 5 << 20), (10 << 20, 2 << 20)]);
    assert!(plan.part(0).is_err() && plan.part(4).is_err());
    assert_eq!(MultipartPlan::new(1, PART_MIN_BYTES).unwrap().part(1).unwrap(), (0, 1));
    assert_eq!(MultipartPlan::new(10 << 20, PART_MIN_BYTES).unwrap().parts(), 2);
}

#[test]
fn sizes_that_a_store_refuses_in_the_end_are_refused_in_the_beginning() {
    let refused = |size, part_size| MultipartPlan::new(size, part_size).unwrap_err().kind();
    assert_eq!(refused(1 << 30, PART_MIN_BYTES - 1), ErrorKind::Invalid);
    assert_eq!(refused(1 << 40, PART_MAX_BYTES + 1), ErrorKind::Invalid);
    assert_eq!(refused(0, PART_MIN_BYTES), ErrorKind::Invalid);
    let most = u64::from(PARTS_MAX) * PART_MIN_BYTES;
    assert!(MultipartPlan::new(most, PART_MIN_BYTES).is_ok());
    assert_eq!(refused(most + 1, PART_MIN_BYTES), ErrorKind::TooLarge);
    assert_eq!(refused(u64::MAX, PART_MAX_BYTES), ErrorKind::TooLarge);
}
