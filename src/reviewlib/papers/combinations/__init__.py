"""Six methods on one task, alone and in pairs: does a gain survive combination?"""
