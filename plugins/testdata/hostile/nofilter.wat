  (memory (export "memory") 2 256)
  (func (export "ec_init") (result i32) i32.const 0)
  (func (export "ec_arena") (param i32) (result i32) i32.const 1024)
