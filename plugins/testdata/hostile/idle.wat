  (memory (export "memory") 2 256)
  (func (export "ec_init") (result i32) i32.const 0)
  (func (export "ec_arena") (param i32) (result i32) i32.const 1024)
  ;; Fails when it is to clean up for the second time.
  (global $n (mut i32) (i32.const 0))
  (func (export "ec_idle") (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (if (i32.gt_u (global.get $n) (i32.const 1)) (then (loop $l (br $l))))
    i32.const 0)
  ;; Keeps as many instances as it cleaned up.
  (func (export "ec_filter") (param i32) (result i64)
    (i64.or (i64.const 1) (i64.shl (i64.sub (i64.shl (i64.const 1) (i64.extend_i32_u (global.get $n))) (i64.const 1)) (i64.const 32))))
