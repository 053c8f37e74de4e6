  (memory (export "memory") 256 256)
  (func (export "ec_init") (result i32) i32.const 0)
  (func (export "ec_arena") (param i32) (result i32) i32.const 1024)
  ;; Each access misses the caches.
  (func (export "ec_filter") (param i32) (result i64) (local $at i32)
    (loop $l
      (local.set $at (i32.and (i32.add (i32.mul (local.get $at) (i32.const 1103515245)) (i32.const 12345)) (i32.const 0xfffff8)))
      (i64.store (local.get $at) (i64.const 1))
      (br $l)) unreachable)
