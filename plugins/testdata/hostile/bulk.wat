  (memory (export "memory") 256 256)
  (func (export "ec_init") (result i32) i32.const 0)
  (func (export "ec_arena") (param i32) (result i32) i32.const 1024)
  (func (export "ec_filter") (param i32) (result i64)
    (loop $l
      (memory.copy (i32.const 1) (i32.const 0) (i32.const 16777215))
      (memory.fill (i32.const 0) (i32.const 7) (i32.const 16777216))
      (br $l)) unreachable)
